"""From text to numbers, or to the reason why not."""
