"""What tests are made with: small files, curves, spectra, surveys, settings and models."""
