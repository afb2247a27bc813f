"""Mock against real: numbers, figures and classifiers that say how far apart the two are."""
