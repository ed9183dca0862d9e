"""What the tests share: clinical cases, the requests built from them, and what an answer is compared with."""
