"""Files from the archives over HTTP: resumed, paced, checked, listed."""
