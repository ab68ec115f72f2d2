"""Private keys that one can use and not see, where they are kept, and all randomness. Knows no certificate's fate."""
