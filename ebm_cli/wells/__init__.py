"""Regions where E is low: modes, basins, and how much mass lies in a region."""
