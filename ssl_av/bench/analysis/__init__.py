"""What the records of a suite say: tables, tests and sentences, without a layout."""
