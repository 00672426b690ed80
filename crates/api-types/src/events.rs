//! What happened, as `GET /events` streams it.

use crate::StringMap;
use crate::macros::go_json;
use crate::starling::StarlingEvent;

go_json! {
    /// One event, a line of JSON.
    pub struct Event {
        /// Of old clients: the action, for containers and images only.
        status: String = "status" omitempty,
        /// Of old clients: the actor's id, for containers and images only.
        id: String = "id" omitempty,
        /// Of old clients: the container's image.
        from: String = "from" omitempty,
        /// `service`, `node`, `container`, `image` ...
        kind: String = "Type",
        /// `create`, `update`, `remove`, `start`, `die` ...
        action: String = "Action",
        actor: Actor = "Actor",
        /// `local` or `swarm`.
        scope: String = "scope" omitempty,
        /// Unix seconds.
        time: i64 = "time" omitempty,
        /// Unix nanoseconds.
        time_nano: i64 = "timeNano" omitempty,
        starling: Option<StarlingEvent> = "Starling" omitempty,
    }

    /// To whom it happened.
    pub struct Actor {
        id: String = "ID",
        attributes: StringMap = "Attributes",
    }
}
