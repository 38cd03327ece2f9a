//! How the cost of one recovery grows with the number of managers that share the login.
