"""Gyrochronal ages of tables of stars: from rotation period and temperature."""
