"""The coordination engine: conflicting signals in, one coordinated allocation per portfolio out."""
