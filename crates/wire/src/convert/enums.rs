//! Enumerations. Each value is named on both sides: a new one on either side does not compile or is refused.

use crate::DecodeError;
use crate::pb::objects as pb;

/// A number on the wire that stands for one of the model's values.
pub(crate) trait Enumeration: Sized {
    /// The number.
    fn to_wire(self) -> i32;
    /// The value, or a refusal.
    fn from_wire(value: i32) -> Result<Self, DecodeError>;
}

macro_rules! enumerations {
    ($($what:literal: $model:ty, $pb:ty { $($ours:ident = $theirs:ident),+ $(,)? })+) => {$(
        impl Enumeration for $model {
            fn to_wire(self) -> i32 {
                match self {
                    $(<$model>::$ours => <$pb>::$theirs as i32,)+
                }
            }
            fn from_wire(value: i32) -> Result<Self, DecodeError> {
                match <$pb>::try_from(value) {
                    $(Ok(<$pb>::$theirs) => Ok(<$model>::$ours),)+
                    _ => Err(DecodeError::UnknownEnum { what: $what, value }),
                }
            }
        }
    )+};
}

enumerations! {
    "the role of a node": model::Role, pb::Role { Worker = Worker, Manager = Manager }
    "the availability of a node": model::Availability, pb::Availability {
        Active = Active, Pause = Pause, Drain = Drain,
    }
    "the state of a node": model::NodeState, pb::NodeState {
        Unknown = Unknown, Down = Down, Ready = Ready, Disconnected = Disconnected,
    }
    "the failure action": model::service::FailureAction, pb::FailureAction {
        Pause = Pause, Continue = Continue, Rollback = Rollback,
    }
    "the update order": model::service::UpdateOrder, pb::UpdateOrder {
        StopFirst = StopFirst, StartFirst = StartFirst,
    }
    "the endpoint mode": model::service::EndpointMode, pb::EndpointMode { Vip = Vip, DnsRr = Dnsrr }
    "the state of an update": model::service::UpdateState, pb::UpdateState {
        Updating = Updating, Paused = Paused, Completed = Completed, RollbackStarted = RollbackStarted,
        RollbackPaused = RollbackPaused, RollbackCompleted = RollbackCompleted,
    }
    "the state of a task": model::TaskState, pb::TaskState {
        New = New, Pending = Pending, Assigned = Assigned, Accepted = Accepted, Preparing = Preparing,
        Ready = Ready, Starting = Starting, Running = Running, Complete = Complete, Shutdown = Shutdown,
        Failed = Failed, Rejected = Rejected, Orphaned = Orphaned,
    }
    "the desired state of a task": model::DesiredState, pb::DesiredState {
        Ready = Ready, Running = Running, Complete = Complete, Shutdown = Shutdown, Remove = Remove,
    }
    "the reason of a replacement": model::task::ReplaceReason, pb::ReplaceReason {
        Restart = Restart, Rebalance = Rebalance,
    }
    "the kind of a payload": model::PayloadKind, pb::PayloadKind { Secret = Secret, Config = Config }
    "the AppArmor mode": model::container::AppArmorMode, pb::AppArmorMode {
        Default = Default, Disabled = Disabled,
    }
    "the restart condition": model::task::RestartCondition, pb::RestartCondition {
        None = None, OnFailure = OnFailure, Any = Any,
    }
    "the stream of a log line": model::logs::LogStream, pb::LogStream { Stdout = Stdout, Stderr = Stderr }
}
