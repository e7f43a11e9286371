use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rmcp::{
    Peer, RoleClient,
    model::{PaginatedRequestParams, Tool},
};
use unbroken::tools::Tools;

use crate::{ConnectError, mcp_tool::McpTool, pool::Pool};

/// The maximum number of tools of one server.
const MOST: usize = 1000;
/// The maximum number of pages in which it lists them.
const PAGES: usize = 100;

/// The tools that a server listed last.
pub(crate) struct ListedTools {
    last: Mutex<LastList>,
    // The number of times that the server was asked. A list never replaces one that was asked for
    // later.
    asked: AtomicU64,
}

#[derive(Default)]
struct LastList {
    // `None` before the first time.
    tools: Option<Tools>,
    number: u64,
}

impl ListedTools {
    pub(crate) fn new() -> Self {
        Self {
            last: Mutex::default(),
            asked: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self) -> Tools {
        self.lock().tools.clone().unwrap_or_default()
    }

    /// Lets the server list its tools again.
    ///
    /// # Errors
    ///
    /// If it can't, or if one of them can't be offered, for the first time. Later that is traced, and
    /// the former tools stay.
    pub(crate) async fn renew(
        &self,
        pool: &Arc<Pool>,
        peer: &Peer<RoleClient>,
    ) -> Result<(), ConnectError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let within = pool.settings.connect_timeout;
        let tools = match tokio::time::timeout(within, list(peer)).await {
            Ok(Ok(listed)) => offered(pool, listed),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectError::TimedOut { within }),
        };
        let mut last = self.lock();
        match tools {
            Ok(_) if number < last.number => {}
            Ok(tools) => {
                last.tools = Some(tools);
                last.number = number;
            }
            Err(error) if last.tools.is_none() => return Err(error),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(
                    error,
                    "the tools of an MCP server can't be used; the former stay"
                );
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LastList> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, ConnectError> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let page = PaginatedRequestParams::default().with_cursor(cursor.take());
        let page = peer.list_tools(Some(page)).await;
        let page = page.map_err(|error| ConnectError::List(error.into()))?;
        tools.extend(page.tools);
        cursor = page.next_cursor;
        if tools.len() > MOST {
            break;
        }
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    Err(ConnectError::TooMany { most: MOST })
}

fn offered(pool: &Arc<Pool>, listed: Vec<Tool>) -> Result<Tools, ConnectError> {
    let mut tools = Tools::new();
    let only = pool.settings.only.as_deref();
    let mut absent: HashSet<&str> = only.iter().copied().flatten().map(String::as_str).collect();
    for tool in listed {
        if only.is_none_or(|only| only.iter().any(|name| *name == tool.name)) {
            absent.remove(&*tool.name);
            tools.insert(McpTool::new(tool, Arc::clone(pool)))?;
        }
    }
    match absent.into_iter().min() {
        Some(name) => Err(ConnectError::Absent { name: name.into() }),
        None => Ok(tools),
    }
}
