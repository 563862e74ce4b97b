//! `.env` lines.
