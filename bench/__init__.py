"""What an answer costs, measured with public tools beside an empty handler; ``python -m bench --help`` tells the parts."""
