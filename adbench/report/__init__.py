"""From records to tables: rows, rankings, notes, published numbers, and every output format."""
