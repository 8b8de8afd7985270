"""What a final leaves behind, used: its adapter answers new text, is exported, and is looked into."""
