"""What is written for people: the page of a run, and the table, picture and page of a sweep."""
