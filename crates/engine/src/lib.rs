//! Dispatch, admission, pools, scaling.
