"""Key providers: where the platform's keys live."""
