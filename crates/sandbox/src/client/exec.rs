//! Programs that run in containers beside the container's own: health checks, `docker exec`.

use tokio::sync::oneshot;

use super::error::{exec_error, unexpected};
use super::{ClientError, ExecError, Supervisor, level, lock};
use crate::protocol::{self, FEATURE_LEVEL, Reply, Request, RequestFrame};
use crate::spec::ExecSpec;
use crate::state::ExecResult;

/// A program that was executed in a container. Dropping it before its end kills the program.
#[derive(Debug)]
pub struct ExecHandle {
    /// Process id, in the supervisor's PID namespace.
    pub pid: i32,
    supervisor: Supervisor,
    end: End,
}

/// Where its end comes to; forgets itself.
#[derive(Debug)]
struct End {
    seq: u64,
    supervisor: Supervisor,
    receiver: oneshot::Receiver<ExecResult>,
    result: Option<ExecResult>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(execs) = lock(&self.supervisor.execs).as_mut()
            && execs.remove(&self.seq).is_some()
        {
            // Nobody waits for it any more.
            self.supervisor.kill_exec_soon(self.seq);
        }
    }
}

impl ExecHandle {
    /// Its name on this connection, for [`Supervisor::kill_exec`].
    pub fn id(&self) -> u64 {
        self.end.seq
    }

    /// Waits for its end. May be given up (a time-out) and called again, also after the end.
    pub async fn wait(&mut self) -> Result<ExecResult, ExecError> {
        if let Some(result) = &self.end.result {
            return Ok(result.clone());
        }
        let result = (&mut self.end.receiver).await;
        let result = result.map_err(|_| ExecError::Client(ClientError::Lost))?;
        self.end.result = Some(result.clone());
        Ok(result)
    }

    /// Kills it, with its process group; [`ExecHandle::wait`] then yields exit code 137 and what it
    /// wrote. A program that ended already is no error.
    pub async fn kill(&self) -> Result<(), ClientError> {
        self.supervisor.kill_exec(self.end.seq).await
    }
}

impl Supervisor {
    /// Runs a program in a container to its end, see [`Supervisor::start_exec`]. Giving up (a
    /// time-out) kills it.
    pub async fn exec(&self, container_id: &str, spec: ExecSpec) -> Result<ExecResult, ExecError> {
        self.start_exec(container_id, spec).await?.wait().await
    }

    /// Runs a program in a container that runs, with the namespaces, cgroup, capabilities and filter
    /// of the container. Returns when it has been executed; giving up before that kills it. The
    /// container's end ends it, and so does the end of this connection. A seccomp profile that forbids
    /// `clone` forbids this, too.
    pub async fn start_exec(
        &self,
        container_id: &str,
        spec: ExecSpec,
    ) -> Result<ExecHandle, ExecError> {
        if self.level < FEATURE_LEVEL {
            return Err(ExecError::InvalidSpec(level::TOO_OLD.into()));
        }
        let seq = self.next_seq();
        let (sender, receiver) = oneshot::channel();
        lock(&self.execs)
            .as_mut()
            .ok_or(ExecError::Client(ClientError::Lost))?
            .insert(seq, sender);
        let end = End {
            seq,
            supervisor: self.clone(),
            receiver,
            result: None,
        };
        let request = Request::Exec {
            id: container_id.to_owned(),
            exec: Box::new(spec),
        };
        let reply = self.request_as(seq, request).await;
        let reply = reply.map_err(ExecError::Client)?;
        if !matches!(reply, Ok(Reply::ExecStarted { .. })) {
            // There is nothing to kill.
            if let Some(execs) = lock(&self.execs).as_mut() {
                execs.remove(&seq);
            }
        }
        match reply {
            Ok(Reply::ExecStarted { pid }) => Ok(ExecHandle {
                pid,
                supervisor: self.clone(),
                end,
            }),
            Err(refusal) => Err(exec_error(refusal)),
            other => Err(ExecError::Client(unexpected(other))),
        }
    }

    /// Kills a program that [`Supervisor::start_exec`] started on this connection, by
    /// [`ExecHandle::id`]. One that ended already is no error.
    pub async fn kill_exec(&self, exec_id: u64) -> Result<(), ClientError> {
        self.done(Request::KillExec { exec: exec_id }).await
    }

    /// From where nobody can wait.
    fn kill_exec_soon(&self, exec: u64) {
        let request = Request::KillExec { exec };
        let seq = self.next_seq();
        let Ok(frame) = protocol::encode(&RequestFrame { seq, request }) else {
            return;
        };
        let Err(refused) = self.requests.try_send(frame) else {
            return;
        };
        // The queue is full, or the connection (and with it the program) has ended.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let requests = self.requests.clone();
            runtime.spawn(async move { requests.send(refused.into_inner()).await });
        }
    }
}
