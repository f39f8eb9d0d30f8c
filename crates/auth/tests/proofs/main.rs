//! What proves a caller and what does not: signatures, tokens, and the credentials on disk.

#[cfg(test)]
mod authenticate;
#[cfg(test)]
mod sigv4;
