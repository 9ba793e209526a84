"""Estimators of the alpha gradient: pure functions of (weights, architecture), of no network in particular."""
