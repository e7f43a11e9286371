//! [`unbroken`] on Redis: a store that keeps logs in streams, fences writers by scripts, and wakes
//! readers by publish and subscribe.
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
//! Any number of servers share one Redis: a reader may be on another server than the writer, and the
//! sessions of a server that died are continued by the others. The oldest supported version is Redis
//! 6.2; Valkey works too. [`Redis::open`] takes a URL, [`Redis::with_client`] a client of the
//! application (certificates, custom resolvers). [`RedisOptions`] has the timeouts and the prefix of
//! all keys.
//!
//! # How it works
//!
//! Each operation on a session is one Lua script, called by its digest. The script checks every rule
//! of the [contract](unbroken::store) before it writes, then writes, and publishes last. Times are
//! those of the Redis server; only durations are sent. If memory is full, the disk fails or replicas
//! are missing, the server refuses the first write of a script, so that a script is applied wholly or
//! not at all.
//!
//! A session is up to six keys with one hash tag, `{id}`: its state and metadata (a hash), the request,
//! its answers, its log (a stream), its holders (a sorted set), and its tombstone (a string). The seal
//! writes the tombstone, and sets when the engine drops the keys (`PEXPIREAT`). The tombstone is dropped
//! after the others, so that a session answers [`Gone`](unbroken::store::StoreError::Gone) from the
//! millisecond in which its log expires, without a sweep.
//!
//! The seal of a session with an [outbox](field@unbroken::store::SessionMeta::outbox) also writes the ending into the
//! hash, keeps the request, and moves the time at which the engine drops the keys past that of the ending. The
//! delivery drops both and sets the times of the session's own retention. If such a session is deleted before, its
//! hash moves to a seventh key, `ending`, without the reason of an abort, where only the methods of the outbox find it.
//!
//! A tombstone holds the owner and the digest of the request, nothing else. There are at most
//! [`RedisOptions::max_tombstones`](field@RedisOptions::max_tombstones) of sessions that were deleted or
//! swept, by default 1,000,000; the oldest go first, and their ids answer
//! [`NotFound`](unbroken::store::StoreError::NotFound) then. They are counted in a sorted set by the
//! time of their end, so "oldest" is the one that would end first.
//!
//! A key of a session that another program has overwritten, or a value in it that this version can't
//! read, is [`Corrupt`](unbroken::store::StoreError::Corrupt), with the LSN 0 where it is not one record
//! that can't be read. Readers and writers end with it. The session is left out of lists, and its keys
//! are left alone; once they are removed, the sweep removes its entries. A session whose request can't
//! be read can still be claimed, to be sealed.
//!
//! The log is a stream with one entry for each append, not for each record. The id of an entry is its
//! last LSN and the counter of the epoch that wrote it. A page can therefore begin after any LSN
//! (`XRANGE` finds the entry, earlier records are cut off), and a record needs no epoch of its own. An
//! append of 64 records costs the server little more than an append of one.
//!
//! A waiter is woken by a message on a channel of the session. All waiters of a process share one
//! connection, which subscribes with the first waiter of a session and unsubscribes some seconds after
//! the last. Messages have no content and may be lost: a waiter reads the state, sleeps, and reads it
//! again, at the latest after 2 seconds. When the connection breaks, all waiters read at once.
//! Blocking reads (`XREAD BLOCK`) would stop all other commands of a shared connection.
//!
//! The string `layout` under the prefix is the number of the layout of all keys. [`Redis::open`] writes it where it
//! is absent, raises the number of an earlier version, whose sessions it reads as they are, and refuses a later one. A
//! server of an earlier version can't open the keys any more then. One that has opened them before goes on, but knows
//! no outbox: stop those before the first session with one is started.
//!
//! # Deployment: persistence
//!
//! The durability of acknowledged records is read from the server when it is opened
//! ([`Store::durability`](unbroken::store::Store::durability)):
//!
//! | `appendonly`, `appendfsync` | durability | a power cut loses |
//! |---|---|---|
//! | `yes`, `always` | `Host` | nothing |
//! | `yes`, `everysec` | `Process` | about a second |
//! | `yes`, `no`, or snapshots only | `Process` | what the system had not written, or all since the last snapshot |
//!
//! Where `CONFIG` is forbidden, as on many managed servers, it is `Process`, unless
//! [`RedisOptions::durability`](field@RedisOptions::durability) is set. A later change of the settings
//! is not noticed.
//!
//! # Deployment: failover
//!
//! Redis replicates after it has replied. A failover to a replica that lags loses acknowledged
//! records, which readers may have seen. `WAIT` does not help, since readers see a record before it is
//! replicated. The loss is reported as [`Rewound`](unbroken::store::StoreError::Rewound): to an append
//! that begins beyond the end of the log, and to a reader whose record is absent or was written by
//! another epoch. Nothing is spliced: such a reader must begin again. A whole session that was lost is
//! `NotFound`. Do not set `Durability::Replicated` for a server that can fail over in this way.
//!
//! A planned failover (`FAILOVER`) loses nothing, and sessions continue: the store disconnects from a
//! server that reports to be a replica, and connects to the address again to find its successor.
//!
//! Leases, retention and tombstones are times on the wall clock of the Redis server. A successor whose
//! clock is ahead ends leases sooner. That costs a claim, and never makes a second writer. The age of a
//! session counts by that clock too.
//!
//! # Deployment: eviction
//!
//! A server that evicts keys when its memory is full loses logs. [`Redis::open`] refuses a server whose
//! `maxmemory` is set and whose `maxmemory-policy` is not `noeviction`. The policies `volatile-*` are no
//! better than `allkeys-*`, since a finished log has an expiry. With `noeviction` a full server refuses
//! appends (`Unavailable`), and records wait in the buffer of the writer until retention has freed
//! memory. Deletions go on, and endings are still taken and delivered. The policy is read from `INFO`. Where that is forbidden too, opening fails unless
//! [`RedisOptions::allow_eviction`](field@RedisOptions::allow_eviction) is set.
//!
//! # Deployment: memory
//!
//! A stream entry costs its records, some bytes for each of them, and what the allocator rounds up,
//! which is the larger part; the last node of a stream is allocated whole. Measured sizes and times are
//! in `docs/redis.md` of the repository. One append has at most
//! [`RedisOptions::max_append_bytes`](field@RedisOptions::max_append_bytes) bytes, by default 16 MiB.
//!
//! # Deployment: slow links
//!
//! A command has [`RedisOptions::response_timeout`](field@RedisOptions::response_timeout), and the time that its bytes and
//! those of its reply need at
//! [`RedisOptions::min_bytes_per_second`](field@RedisOptions::min_bytes_per_second). Commands that move more than 512 KiB
//! share a second connection, so that renewals of leases and the appends of other sessions don't wait behind them.
//! A large reply is announced: the first one to a read, a claim, or the take of an ending has its size. An ending with a
//! large request is leased and returned alone, so that the leases of others don't run while it is transferred.
//!
//! # Deployment: cluster
//!
//! The feature `cluster` adds `Redis::open_cluster` and `Redis::with_cluster`. The keys of a session lie
//! in one slot, so its scripts stay atomic. Wake-ups are `PUBLISH`, which the cluster sends to every
//! node: the store subscribes at any one of them, but each append costs each node a message. The
//! cluster client repeats a command whose connection broke. That is safe, as a repeated script has no second
//! effect. It finds what the first one did, but for the script that takes an ending: that one finds a lease, so an
//! ending whose reply was lost is taken again only once its lease is over. The store can't know if a failed command was applied, so `maybe_applied` is always
//! true. Its large commands all have the time of the largest append, unless the application made the
//! connection. On a single server nothing is repeated, and `maybe_applied` is false if no connection could be
//! made or the server refused.
//!
//! # Deployment: permissions
//!
//! An ACL user needs, beside `~prefix*` and `&prefix*`: `eval evalsha info config|get ping hello
//! subscribe unsubscribe publish time exists type get set unlink pexpireat pttl hget hgetall hmget hset
//! xadd xrange zadd zcard zrange zrem zscore zrangebyscore zrevrange zrevrangebyscore zremrangebyscore`;
//! in a cluster also `cluster`, `asking` and `command`. Records are stored in plain text: a user with
//! access to these keys can read every answer.
//!
//! # Indexes that lag
//!
//! Sessions are found by sorted sets of ids in four scopes: all sessions, those of an owner, those of a
//! chat, and those of a chat of one owner, or of a chat without an owner. Each scope has a set for each
//! status, by time of creation. A page of a list reads the sets that its filter selects, so that it costs
//! what it holds: neither another owner, nor another chat, nor another status adds to it, and
//! [`of_chat`](unbroken::store::Store::of_chat) costs the same with any number of sessions of others in
//! a chat of that name. Three more sets hold the unsealed sessions (by the end of their lease), the sealed
//! ones (by the end of their retention), and the tombstones (by their end). Each service with an outbox has a set of
//! its endings, by the time from which they may be taken.
//!
//! In a cluster these lie in other slots than the sessions, each scope and each service in one slot of its own. They are
//! therefore written apart from the scripts, also on a single server, and may lag behind the sessions. The
//! sessions are authoritative: an entry is checked before it is returned, and
//! [`claim`](unbroken::store::Store::claim) decides in the end. Lost writes are corrected later:
//!
//! * A session is indexed before it is created, so none is missing. Its first entry is that among the
//!   unsealed ones, which names its owner and its chat; an entry without a session is removed from all sets
//!   once it is a minute old.
//! * A session that is [withdrawn](unbroken::store::DeleteMode::Withdrawn) frees its id at once. Its entries are removed
//!   if they have the scores that were read before, since those of a later session with its id have other ones.
//! * An append that changes the status moves the entries; that among all sessions is moved last. Each
//!   renewal writes the entry of an unsealed session again, and moves its others if that one is not in the
//!   set of its status.
//! * Appends extend leases without a write to the index. An entry whose lease is still running is
//!   moved to its end, and one whose session is sealed to the sets of its outcome.
//! * An entry that is more than ten minutes ahead, because the clock of the server was set back, is
//!   moved to the end of its lease.
//! * An entry of a sealed session that is held for longer is moved. An expired or deleted session is
//!   removed from all sets, last from the one that names its owner and chat, so that a removal that was cut
//!   off is completed by the sweep or the search for orphans.
//! * The entry of an ending is written before the session leaves the unsealed ones. If the server dies in between, the
//!   search for orphans finds the session there once its lease has run out, and writes the entry. The sweep looks at a
//!   session whose ending waits at the latest every ten minutes, and writes an entry again that was lost later.
//! * The session decides if an ending is taken: an entry that lags is moved to the time of the session. That of an
//!   ending which was delivered is removed when it is met, after the other entries of its session were corrected.
//! * A deleted session whose ending waits is in no list. It remains among the sealed ones, and its tombstone isn't
//!   counted until the ending is delivered or its time is over.
//! * A list or a look-up that meets an entry with another status, or without a session, moves or removes it.
//!
//! A set without an entry is no key, so nothing remains of an owner or a chat whose sessions are gone.
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
mod layout;
mod link;
mod max_value;
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
