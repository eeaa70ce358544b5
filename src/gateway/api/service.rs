//! A request that came in at the API's port.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::gateway::context::Context;

/// Serves one connection of the API's port to its end.
pub async fn serve_connection(context: Arc<Context>, stream: TcpStream, peer: SocketAddr) {
    let _ = (context, stream, peer);
    todo!()
}
