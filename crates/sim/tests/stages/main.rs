//! Every stage of the pipeline: what it does, and each of its drops. Each test is a golden case too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod congestion;
mod decapsulate;
mod deliver;
mod encapsulate;
mod fixture;
mod flow;
mod forward;
mod gateway;
mod guard_bridge;
mod guard_neighbours;
mod guard_servers;
mod guard_sources;
mod guard_storm;
mod isolated;
mod judge;
mod mtu;
mod naive_router;
mod network;
mod parse;
mod port;
mod punt;
mod refusals;
mod replicate;
mod resolve_arp;
mod resolve_nd;
mod route;
mod routed;
mod router;
mod segments;
mod shared;
mod trunk;
mod underlay;
