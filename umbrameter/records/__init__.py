"""The user's Parquet data: checked, encoded, stored and read by row; and which records are members."""
