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
        delegate!(@$field create(id: &'a ::unbroken::log::SessionId, new: ::unbroken::store::NewSession) -> Result<::unbroken::store::Created, ::unbroken::store::StoreError>);
    };
    (@$field:ident claim) => {
        delegate!(@$field claim(id: &'a ::unbroken::log::SessionId, seen: ::unbroken::log::Epoch, token: ::unbroken::store::Token, lease: ::std::time::Duration)
            -> Result<::unbroken::store::Claimed, ::unbroken::store::StoreError>);
    };
    (@$field:ident renew) => {
        delegate!(@$field renew(owned: &'a [(::unbroken::log::SessionId, ::unbroken::log::Epoch)], lease: ::unbroken::store::LeaseChange)
            -> Vec<Result<::unbroken::store::SessionState, ::unbroken::store::StoreError>>);
    };
    (@$field:ident append) => {
        delegate!(@$field append(id: &'a ::unbroken::log::SessionId, chunk: ::unbroken::log::Chunk, then: ::unbroken::store::AfterAppend)
            -> Result<::unbroken::store::Appended, ::unbroken::store::StoreError>);
    };
    (@$field:ident read) => {
        delegate!(@$field read(id: &'a ::unbroken::log::SessionId, after: ::unbroken::log::Position, max_bytes: usize)
            -> Result<::unbroken::store::RecordPage, ::unbroken::store::StoreError>);
    };
    (@$field:ident changed) => {
        delegate!(@$field changed(id: &'a ::unbroken::log::SessionId, seen: ::unbroken::store::Seen, within: ::std::time::Duration)
            -> Result<::unbroken::store::SessionState, ::unbroken::store::StoreError>);
    };
    (@$field:ident abort) => {
        delegate!(@$field abort(id: &'a ::unbroken::log::SessionId, abort: ::unbroken::store::AbortRequest) -> Result<::unbroken::store::SessionState, ::unbroken::store::StoreError>);
    };
    (@$field:ident answer) => {
        delegate!(@$field answer(id: &'a ::unbroken::log::SessionId, answer: ::unbroken::store::StoredAnswer) -> Result<::unbroken::store::AnswerOutcome, ::unbroken::store::StoreError>);
    };
    (@$field:ident answers) => {
        delegate!(@$field answers(id: &'a ::unbroken::log::SessionId, after: usize)
            -> Result<Vec<::unbroken::store::StoredAnswer>, ::unbroken::store::StoreError>);
    };
    (@$field:ident hold) => {
        delegate!(@$field hold(id: &'a ::unbroken::log::SessionId, by: ::unbroken::store::Holder, keep: ::std::time::Duration)
            -> Result<(), ::unbroken::store::StoreError>);
    };
    (@$field:ident delete) => {
        delegate!(@$field delete(id: &'a ::unbroken::log::SessionId, how: ::unbroken::store::DeleteMode) -> Result<(), ::unbroken::store::StoreError>);
    };
    (@$field:ident list) => {
        delegate!(@$field list(filter: &'a ::unbroken::store::Filter) -> Result<::unbroken::store::Listing, ::unbroken::store::StoreError>);
    };
    (@$field:ident orphans) => {
        delegate!(@$field orphans(limit: usize) -> Result<Vec<::unbroken::store::Listed>, ::unbroken::store::StoreError>);
    };
    (@$field:ident sweep) => {
        delegate!(@$field sweep(limit: usize) -> Result<usize, ::unbroken::store::StoreError>);
    };
    (@$field:ident $method:ident($($name:ident: $Type:ty),*) -> $Output:ty) => {
        #[allow(clippy::elidable_lifetime_names, reason = "most of the methods need it")]
        fn $method<'a>(&'a self, $($name: $Type),*) -> ::unbroken::store::BoxFuture<'a, $Output> {
            self.$field.$method($($name),*)
        }
    };
}

pub(crate) use delegate;
