"""Ways of telling people: SMS."""
