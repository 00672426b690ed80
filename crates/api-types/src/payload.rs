//! Secrets and configs.

use crate::macros::go_json;
use crate::{Driver, StringMap, Timestamp, Version};

go_json! {
    /// A secret, as `GET /secrets/{id}` answers it.
    pub struct Secret {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        spec: SecretSpec = "Spec",
    }

    /// What users say of a secret; body of `POST /secrets/create` and `POST /secrets/{id}/update`.
    pub struct SecretSpec {
        name: String = "Name" omitempty,
        labels: StringMap = "Labels",
        /// Base64, only in requests.
        data: String = "Data" omitempty,
        driver: Option<Driver> = "Driver" omitempty,
        templating: Option<Driver> = "Templating" omitempty,
    }

    /// A config, as `GET /configs/{id}` answers it.
    pub struct Config {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        spec: ConfigSpec = "Spec",
    }

    /// What users say of a config; body of `POST /configs/create` and `POST /configs/{id}/update`.
    pub struct ConfigSpec {
        name: String = "Name" omitempty,
        labels: StringMap = "Labels",
        /// Base64.
        data: String = "Data" omitempty,
        templating: Option<Driver> = "Templating" omitempty,
    }
}
