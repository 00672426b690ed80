//! The monitor of one container: runs its probe for as long as it runs. Containers without a check have none.

use super::{Health, HealthStatus, MAX_OUTPUT, PROBE_FAILED, Probe, ProbeResult};
use crate::clock;
use crate::engine::{Container, Engine, Inner};
use crate::events::ContainerAction;
use crate::record::Phase;
use sandbox::{ClientError, ExecError, ExecHandle, ExecSpec};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A killed probe ends in milliseconds; one that the kernel holds is left to it.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// A container that has just been started, or was found running, is watched from now on if it has a check, once.
pub(crate) fn watch(engine: &Engine, container: &Arc<Container>) {
    let Some(probe) = container.record.process.probe.clone() else {
        return;
    };
    container.state.send_if_modified(|state| {
        let news = state.phase == Phase::Running && state.health.is_none();
        if news {
            state.health = Some(Health::default());
        }
        news
    });
    let runs = container.phase() == Phase::Running;
    if runs && !container.monitored.swap(true, Ordering::AcqRel) {
        let (engine, container) = (Arc::downgrade(&engine.0), Arc::clone(container));
        tokio::spawn(async move {
            monitor(engine, &container, probe).await;
            container.monitored.store(false, Ordering::Release);
        });
    }
}

/// Runs until the container has ended, or the engine is gone.
async fn monitor(engine: Weak<Inner>, container: &Arc<Container>, probe: Probe) {
    let mut states = container.state.subscribe();
    let ended = async {
        // An error means that the container is forgotten, which is an end, too.
        let _ = states.wait_for(|state| state.phase != Phase::Running).await;
    };
    let probes = async {
        loop {
            let pause = {
                let state = container.state.borrow();
                let health = state.health.clone().unwrap_or_default();
                probe.pause(&health, running_for(state.started_at))
            };
            tokio::time::sleep(pause).await;
            let Some(engine) = engine.upgrade().map(Engine) else {
                return;
            };
            let result = run(&engine, container, &probe).await;
            if let Some(result) = result {
                judge(&engine, container, &probe, result).await;
            }
        }
    };
    tokio::select! {
        () = ended => {}
        () = probes => {}
    }
}

fn running_for(started_at: u64) -> Duration {
    Duration::from_nanos(clock::now().saturating_sub(started_at))
}

/// One probe. None when nothing can be said: the supervisor is lost, or the container has just ended. When it is
/// given up (the container ends), so is the program.
async fn run(engine: &Engine, container: &Container, probe: &Probe) -> Option<ProbeResult> {
    let start = clock::now();
    let spec = ExecSpec {
        args: probe.args.clone(),
        max_output: MAX_OUTPUT,
        ..ExecSpec::default()
    };
    let supervisor = engine.0.supervisor();
    let mut program = None;
    let ran = tokio::time::timeout(probe.timeout(), async {
        let started = supervisor.start_exec(&container.record.id, spec).await?;
        program.insert(started).wait().await
    });
    let (exit_code, output) = match ran.await {
        Ok(Ok(done)) => (done.exit_code, text(&done.output)),
        Ok(Err(ExecError::NotRunning(_))) => return None,
        Ok(Err(ExecError::Client(ClientError::Lost | ClientError::NoSuchContainer(_)))) => {
            return None;
        }
        Ok(Err(error)) => (PROBE_FAILED, error.to_string()),
        Err(_) => (PROBE_FAILED, too_slow(probe.timeout(), program).await),
    };
    Some(ProbeResult {
        start,
        end: clock::now(),
        exit_code,
        output,
    })
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// Kills the program; Docker's text, with what it has written.
async fn too_slow(timeout: Duration, program: Option<ExecHandle>) -> String {
    let words = format!("Health check exceeded timeout ({})", go_duration(timeout));
    let Some(mut program) = program else {
        return words;
    };
    let ended = async {
        program.kill().await.ok()?;
        program.wait().await.ok()
    };
    match tokio::time::timeout(KILL_PATIENCE, ended).await {
        Ok(Some(done)) if !done.output.is_empty() => format!("{words}: {}", text(&done.output)),
        _ => words,
    }
}

async fn judge(engine: &Engine, container: &Arc<Container>, probe: &Probe, result: ProbeResult) {
    let mut change = None;
    container.state.send_if_modified(|state| {
        if state.phase != Phase::Running {
            return false;
        }
        let running = Duration::from_nanos(result.start.saturating_sub(state.started_at));
        let health = state.health.get_or_insert_default();
        let before = health.status;
        health.take(result, probe, running);
        change = Some(health.status).filter(|now| *now != before);
        true
    });
    let Some(status) = change else {
        return;
    };
    let healthy = status == HealthStatus::Healthy;
    engine
        .0
        .emit(container, ContainerAction::Health { healthy });
    // Nobody waits for it: after a crash the next probes find it out again.
    engine.0.writer.write_later(container.write()).await;
}

/// As Go prints it in Docker's text: `30s`, `1m30s`, `500ms`.
fn go_duration(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    if seconds == 0 {
        return format!("{millis}ms");
    }
    let fraction = match millis {
        0 => String::new(),
        millis => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    };
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}{fraction}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}{fraction}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::go_duration;
    use std::time::Duration;

    #[test]
    fn durations_read_as_gos() {
        for (millis, text) in [
            (500, "500ms"),
            (1500, "1.5s"),
            (30_000, "30s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
