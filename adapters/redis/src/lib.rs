//! [`unbroken`] on Redis: logs in streams, fenced by scripts, readers woken by publish and subscribe.
//!
//! ```no_run
//! use unbroken::session::Sessions;
//! use unbroken_redis::{RedisOptions, Redis};
//!
//! # async fn run() -> Result<(), unbroken_redis::RedisOpenError> {
//! let store = Redis::open("redis://127.0.0.1:6379", RedisOptions::new()).await?;
//! let sessions = Sessions::builder(store).build();
//! # drop(sessions);
//! # Ok(())
//! # }
//! ```
//!
//! Any number of servers share one Redis: a reader may be on another server than the writer, and
//! what a server leaves behind when it dies is taken up by the others. Redis 6.2 is the oldest that
//! works; Valkey does too. [`Redis::open`] takes a URL, [`Redis::with_client`] the application's
//! own client (certificates, custom resolvers); [`RedisOptions`] has the timeouts and the prefix of all
//! keys.
//!
//! # How it works
//!
//! Each operation on a session is one Lua script, sent by its digest: it looks at everything that
//! the [contract](unbroken::store) asks for before it writes anything, writes, and publishes last.
//! The time is the server's; only durations are sent. A script that meets a full memory, a disk that
//! fails or too few replicas is refused at its first write, so that it happens wholly or not at all.
//!
//! A session is six keys with one hash tag, `{id}`: a hash (where it stands), what it is and what
//! is left of it as a tombstone, the request, what its questions were answered, a stream (its log)
//! and a sorted set (who holds it). At the seal the engine is told when to drop them (`PEXPIREAT`): the
//! tombstone's key lives on after the others, so that a session answers [`Gone`](unbroken::store::StoreError::Gone) from the very
//! millisecond that its log expires, whether or not anybody sweeps.
//!
//! The log is a stream with one entry for each append, not for each record. An entry's id is its last
//! LSN and the counter of the epoch that wrote it, so a page can begin after any LSN (`XRANGE` finds
//! the entry, what comes before is cut off), and no record carries an epoch of its own. An append of 64
//! records costs the server little more than an append of one.
//!
//! Who waits for a change is woken by a message on a channel of the session. All waiters of a
//! process share one connection, which subscribes with a session's first waiter and unsubscribes
//! some seconds after its last. Messages carry nothing and may be lost: the waiter looks, sleeps, and
//! looks again, at the latest after 2 seconds; when the connection breaks, all look at once. Blocking
//! reads (`XREAD BLOCK`) would stop everything else on a shared connection.
//!
//! # Deployment: persistence
//!
//! What an acknowledged record survives is read from the server when it is opened
//! ([`Store::durability`](unbroken::store::Store::durability)):
//!
//! | `appendonly`, `appendfsync` | durability | a power cut loses |
//! |---|---|---|
//! | `yes`, `always` | `Host` | nothing |
//! | `yes`, `everysec` | `Process` | about a second |
//! | `yes`, `no`, or snapshots only | `Process` | what the system had not written, or all since the last snapshot |
//!
//! Where `CONFIG` is forbidden, as on many managed servers, it is `Process`, unless
//! [`RedisOptions::durability`](field@RedisOptions::durability) says better. A change of the settings while
//! the store is open is not noticed.
//!
//! # Deployment: failover
//!
//! Redis replicates after it has answered. A failover to a replica that lags loses acknowledged
//! records, and readers may have seen them; `WAIT` does not help, for readers see a record before it is
//! replicated. It shows as [`Rewound`](unbroken::store::StoreError::Rewound): an append that begins
//! beyond the end of the log, or a reader whose record is absent, or was written by another epoch
//! since. Nothing is spliced: such readers are told to begin again. A whole session that was lost is
//! `NotFound`. Don't say `Durability::Replicated` of a server that can do this.
//!
//! A failover that was planned (`FAILOVER`) loses nothing, and answers go on: a server that says that it
//! is a replica is left, and the address asked again for where its successor is.
//!
//! Leases, retention and tombstones are moments on the server's wall clock. A successor whose clock
//! is ahead ends leases sooner; that costs a claim, never a second writer. Whoever claims counts the
//! session's age by that clock too.
//!
//! # Deployment: eviction
//!
//! A server that drops keys when its memory is full drops logs. [`Redis::open`] refuses one whose
//! `maxmemory` is set and whose `maxmemory-policy` is not `noeviction`; `volatile-*` is no better than
//! `allkeys-*`, for a finished log has an expiry. With `noeviction` a full server refuses appends
//! (`Unavailable`), which waits in the writer's buffer until retention has made room. The policy is
//! read from `INFO`; where that is forbidden too, opening fails unless
//! [`RedisOptions::trust_eviction`](field@RedisOptions::trust_eviction) vouches for it.
//!
//! # Deployment: memory
//!
//! Measured on Redis 7.0 with `MEMORY USAGE`, for records of 64 bytes: 43 bytes more for each if they
//! are appended one at a time, 20 to 26 in batches of 8 to 64; the larger part is what the allocator
//! rounds up. A stream's last node is allocated whole, so that a finished session of one record, all
//! keys and its names in the indexes included, takes 5.7 KiB; an answer of 1,000 such events is
//! between 90 and 110 KiB for as long as it is kept. A server takes some 50 µs of its one core for an append of one record, 60 to 80 µs
//! for one of 64, and 15 ms to give 64,000 records in pages of 256 KiB.
//!
//! An append beside the engine's own `XADD` of the same bytes, and beside a script that does nothing but
//! that `XADD`, over one connection in the same run (`cargo bench -p unbroken-redis`; an unoptimised
//! build on two cores that were busy with other work, so take the ratios as a worst case):
//!
//! | sessions at once, records an append | of the `XADD`s a second | of the scripts' | answered later than the `XADD` (p50) |
//! |---|---|---|---|
//! | 1, 1 | 0.66 | 0.90 | 0.01 ms |
//! | 1, 64 | 0.45 | 0.44 | 0.2 ms |
//! | 64, 1 | 0.28 | 0.57 | 9.9 ms |
//! | 64, 64 | 0.69 | 0.76 | 5.2 ms |
//!
//! One append may have [`RedisOptions::max_append`](field@RedisOptions::max_append) bytes, 4 MiB unless told.
//!
//! # Deployment: cluster
//!
//! The feature `cluster` adds `Redis::open_cluster` and `Redis::with_cluster`. A session's keys lie in
//! one slot, so its scripts stay atomic. Wake-ups are `PUBLISH`, which the cluster's bus hands to
//! every node: it is subscribed to at any one of them, but each append costs each node a message.
//! The cluster client repeats a command whose connection broke; that is safe, as every script can be
//! repeated, but it can't be known whether a command that failed was done, so `maybe_applied` is
//! always true there. On a single server nothing is repeated, and `maybe_applied` is false where no
//! connection could be made or the server refused.
//!
//! # Deployment: permissions
//!
//! For an ACL user, beside `~prefix*` and `&prefix*`: `eval evalsha info config|get ping hello subscribe
//! unsubscribe publish time exists get set unlink pexpireat pttl hget hgetall hmget hset xadd xrange zadd zrem
//! zscore zrangebyscore zrevrangebyscore zremrangebyscore`; in a cluster also `cluster`, `asking` and
//! `command`. Whoever may read these keys may read every answer: records are stored as they are.
//!
//! # Indexes that lag
//!
//! Lists, orphans and what is due to be swept are found by sorted sets of ids: all sessions, an owner's
//! and a chat's (by when they were created), the unsealed (by when their lease is over), the sealed
//! (by when their retention is). In a cluster these lie in other slots than the sessions, so they are
//! written beside the scripts, there and on a single server alike, and may disagree with the
//! sessions for a while. The sessions are right: whatever an index names is looked at before it is
//! given out, and [`claim`](unbroken::store::Store::claim) decides in the end. What a lost write leaves
//! is put right by those who come across it:
//!
//! * A session is entered before it is created, so none is missing; an entry without a session is
//!   removed once it is a minute old.
//! * Each renewal enters its session among the unsealed again.
//! * Appends extend leases without telling the index; an entry whose lease turns out to run still is
//!   moved to where it ends, one that turns out to be sealed to the other set.
//! * An entry that is more than ten minutes ahead, because the server's clock was set back, is moved
//!   to where its lease ends.
//! * An entry of the sealed whose session is held for longer is moved; one whose session has expired
//!   is swept out of all indexes.
//!
//! # Features
//!
//! None is on by default.
//!
//! * `cluster`: Redis Cluster.
//! * `tls`: `rediss://`, by rustls and the system's certificates.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod codec;
mod handle;
mod index;
mod keys;
mod link;
mod open_error;
mod ops;
mod options;
mod reply;
mod script;
mod settings;
mod store;
mod wait;
mod wake;

pub use redis;

pub use self::{handle::Redis, open_error::RedisOpenError, options::RedisOptions};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
