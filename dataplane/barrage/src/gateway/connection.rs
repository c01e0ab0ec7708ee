//! A viewer's connection: who may come in, what its messages mean, and what it is told.

pub(crate) mod auth;
mod connections;
mod context;
mod handler;
mod join;
mod protocol;
pub(crate) mod session;
pub(crate) mod upgrade;
mod viewer;

pub(crate) use connections::Connections;
