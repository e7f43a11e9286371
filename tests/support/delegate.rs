//! A macro for the `Store` methods that a test's store delegates to an inner one.

/// Implements the named methods of [`Store`](unbroken::store::Store) by calls on a field.
macro_rules! delegate {
    ($field:ident: $($method:ident),* $(,)?) => { $(delegate!(@$field $method);)* };
    (@$field:ident durability) => {
        fn durability(&self) -> unbroken::store::Durability {
            self.$field.durability()
        }
    };
    (@$field:ident create) => {
        delegate!(@$field create(id: &'a SessionId, new: NewSession) -> Result<Created, StoreError>);
    };
    (@$field:ident claim) => {
        delegate!(@$field claim(id: &'a SessionId, seen: Epoch, token: Token, lease: Duration)
            -> Result<Claimed, StoreError>);
    };
    (@$field:ident renew) => {
        delegate!(@$field renew(owned: &'a [(SessionId, Epoch)], lease: Duration)
            -> Vec<Result<SessionState, StoreError>>);
    };
    (@$field:ident append) => {
        delegate!(@$field append(id: &'a SessionId, chunk: Chunk, then: AfterAppend)
            -> Result<Appended, StoreError>);
    };
    (@$field:ident read) => {
        delegate!(@$field read(id: &'a SessionId, after: Position, max_bytes: usize)
            -> Result<RecordPage, StoreError>);
    };
    (@$field:ident changed) => {
        delegate!(@$field changed(id: &'a SessionId, seen: Version, within: Duration)
            -> Result<SessionState, StoreError>);
    };
    (@$field:ident abort) => {
        delegate!(@$field abort(id: &'a SessionId, abort: AbortRequest) -> Result<SessionState, StoreError>);
    };
    (@$field:ident answer) => {
        delegate!(@$field answer(id: &'a SessionId, answer: StoredAnswer) -> Result<AnswerOutcome, StoreError>);
    };
    (@$field:ident answers) => {
        delegate!(@$field answers(id: &'a SessionId, after: usize)
            -> Result<Vec<StoredAnswer>, StoreError>);
    };
    (@$field:ident hold) => {
        delegate!(@$field hold(id: &'a SessionId, by: Holder, keep: Duration)
            -> Result<(), StoreError>);
    };
    (@$field:ident delete) => {
        delegate!(@$field delete(id: &'a SessionId, how: DeleteMode) -> Result<(), StoreError>);
    };
    (@$field:ident list) => {
        delegate!(@$field list(filter: &'a Filter) -> Result<Listing, StoreError>);
    };
    (@$field:ident orphans) => {
        delegate!(@$field orphans(limit: usize) -> Result<Vec<Listed>, StoreError>);
    };
    (@$field:ident sweep) => {
        delegate!(@$field sweep(limit: usize) -> Result<usize, StoreError>);
    };
    (@$field:ident $method:ident($($name:ident: $Type:ty),*) -> $StoredAnswer:ty) => {
        #[allow(clippy::elidable_lifetime_names, reason = "most of the methods need it")]
        fn $method<'a>(&'a self, $($name: $Type),*) -> BoxFuture<'a, $StoredAnswer> {
            self.$field.$method($($name),*)
        }
    };
}

pub(crate) use delegate;
