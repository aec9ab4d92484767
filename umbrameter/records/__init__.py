"""Somebody's Parquet: read, checked, encoded, stored, read back by row; and which records are members."""
