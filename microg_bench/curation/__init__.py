"""From footage to a dataset: clips of three seconds, filters, review by people, release."""
