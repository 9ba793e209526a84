"""What the topics show, computed: data frames from the results, and no word on how they are drawn."""
