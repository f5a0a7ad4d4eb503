"""Money, numbers, assets, effects, refusals and the ports: pure, standard library only."""
