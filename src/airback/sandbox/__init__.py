"""Far sides to practise with: real HTTP servers with honest accounts of their own."""
