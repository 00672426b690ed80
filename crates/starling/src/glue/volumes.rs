//! This host's volumes, as the HTTP API shows them.

use api::ApiError;
use api::backend::{ListedVolume, Volumes, WantedVolume};
use api_types::Timestamp;
use api_types::volume::{Volume, VolumeCreateRequest, VolumePruneResponse};
use async_trait::async_trait;
use engine::{Engine, LOCAL_DRIVER, VolumeError, VolumeRequest, VolumeView};
use http::StatusCode;

/// The engine behind the API's trait.
pub(crate) struct EngineVolumes(pub(crate) Engine);

/// With all causes in the text.
fn refused(error: VolumeError) -> ApiError {
    let status = match &error {
        VolumeError::NotFound(_) => StatusCode::NOT_FOUND,
        VolumeError::InUse { .. } => StatusCode::CONFLICT,
        VolumeError::Invalid(_) | VolumeError::Driver(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, format!("{:#}", anyhow::Error::new(error)))
}

/// Docker prints maps that are empty as `null`.
fn shown(volume: &engine::Volume) -> Volume {
    let map = |map: &std::collections::BTreeMap<String, String>| {
        (!map.is_empty()).then(|| map.clone().into_iter().collect())
    };
    let created = i64::try_from(volume.created_at).unwrap_or(i64::MAX);
    Volume {
        created_at: Timestamp::from_unix_nanos(created).to_string(),
        driver: LOCAL_DRIVER.into(),
        labels: map(&volume.labels),
        mountpoint: volume.mountpoint.display().to_string(),
        name: volume.name.clone(),
        options: map(&volume.options),
        scope: "local".into(),
        usage_data: None,
    }
}

#[async_trait]
impl Volumes for EngineVolumes {
    async fn list(&self) -> Result<Vec<ListedVolume>, ApiError> {
        let listed = |view: VolumeView| ListedVolume {
            volume: shown(&view.volume),
            in_use: !view.users.is_empty(),
        };
        Ok(self.0.volumes().into_iter().map(listed).collect())
    }

    async fn inspect(&self, name: &str) -> Result<Volume, ApiError> {
        let found = self.0.volume(name);
        found.map(|view| shown(&view.volume)).map_err(refused)
    }

    async fn create(&self, request: VolumeCreateRequest) -> Result<Volume, ApiError> {
        let request = VolumeRequest {
            name: request.name,
            driver: request.driver,
            options: request.driver_opts.into_iter().collect(),
            labels: request.labels.into_iter().collect(),
        };
        let made = self.0.create_volume(request).await;
        made.map(|view| shown(&view.volume)).map_err(refused)
    }

    async fn remove(&self, name: &str, force: bool) -> Result<(), ApiError> {
        self.0.remove_volume(name, force).await.map_err(refused)
    }

    async fn prune(&self, wanted: WantedVolume) -> Result<VolumePruneResponse, ApiError> {
        let wanted = move |volume: &engine::Volume| wanted(&shown(volume));
        let pruned = self.0.prune_volumes(wanted).await;
        Ok(VolumePruneResponse {
            volumes_deleted: Some(pruned.names),
            space_reclaimed: pruned.bytes,
        })
    }
}
