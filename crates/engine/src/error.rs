//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;

/// The engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory cannot be made or read.
    #[error("cannot use the directory {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The table of containers cannot be read.
    #[error("cannot read the table of containers")]
    Table(#[source] io::Error),
    /// The directories of the volumes cannot be read.
    #[error("cannot read the volumes")]
    Volumes(#[source] io::Error),
    /// There is no supervisor.
    #[error("the supervisor of containers cannot be had")]
    Supervisor(#[from] sandbox::ConnectError),
    /// The supervisor did not say what runs.
    #[error("the supervisor does not say which containers run")]
    List(#[from] sandbox::ClientError),
}

/// No container was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Docker's text.
    #[error("No such container: {0}")]
    NotFound(String),
    /// Several ids begin so.
    #[error("container ID {prefix} is ambiguous ({count} matches found): give more of its digits")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many containers it may mean.
        count: usize,
    },
}

/// A container could not be made; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Docker's text.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// The image is not here.
    #[error(transparent)]
    Image(#[from] images::LookupError),
    /// What is asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A volume cannot be had.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// This host could not.
    #[error("cannot make the files of the container: {path}")]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be written down.
    #[error("cannot write the container down: {0}")]
    Record(String),
}

impl CreateError {
    /// Trying again is of no use.
    pub fn is_permanent(&self) -> bool {
        let passing = matches!(
            self,
            CreateError::Files { .. }
                | CreateError::Record(_)
                | CreateError::Volume(VolumeError::Files { .. })
        );
        !passing
    }
}

/// A volume could not be made, found, mounted or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Docker's text.
    #[error("get {0}: no such volume")]
    NotFound(String),
    /// Docker's text.
    #[error("remove {name}: volume is in use - [{users}]")]
    InUse {
        /// The volume.
        name: String,
        /// Ids of containers.
        users: String,
    },
    /// The name or the options are not right.
    #[error("{0}")]
    Invalid(String),
    /// Only `local` is there.
    #[error(
        "error looking up volume plugin {0}: plugin \"{0}\" not found (only the driver local is built in)"
    )]
    Driver(String),
    /// This host could not.
    #[error("cannot use the files of a volume: {path}")]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its device cannot be mounted. The options are not shown: they may hold passwords.
    #[error("error while mounting volume '{name}': failed to mount local volume: {device}")]
    Mount {
        /// The volume.
        name: String,
        /// Its device.
        device: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image's content cannot be copied.
    #[error("cannot copy the image's {target} to the volume '{name}'")]
    Copy {
        /// The volume.
        name: String,
        /// Where it is to be mounted.
        target: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A part of it cannot be had.
    #[error("cannot access the subpath '{subpath}' of the volume '{name}'")]
    Subpath {
        /// The volume.
        name: String,
        /// The part.
        subpath: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An image for a container could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It is not here, and its registry did not give it.
    #[error("No such image: {image}: {pull}")]
    Pull {
        /// The reference.
        image: String,
        /// Why not.
        pull: images::PullError,
    },
    /// It is not here and has no registry.
    #[error(transparent)]
    Lookup(#[from] images::LookupError),
}

/// A container did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is none.
    #[error(transparent)]
    Find(#[from] FindError),
    /// It has run already.
    #[error("container {0} has already run; it cannot be started again")]
    AlreadyRan(String),
    /// Its layers are gone.
    #[error("the layers of container {id} are gone")]
    Layers {
        /// Which container.
        id: String,
        /// Why.
        #[source]
        source: images::LookupError,
    },
    /// Its secrets and configs were in the memory of an earlier daemon, or never given.
    #[error(
        "the secrets and configs of container {0} are not in memory: it has to be prepared again"
    )]
    NotInjected(String),
    /// One of its volumes cannot be had.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Its program does not run, in Docker's words.
    #[error("{message}")]
    Failed {
        /// Why.
        message: String,
        /// Docker's exit code.
        exit_code: i32,
    },
    /// The supervisor was lost meanwhile; trying again is of use.
    #[error("the container's start could not be asked for: {0}")]
    Supervisor(sandbox::ClientError),
}

/// A container could not be signalled or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// There is none.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Docker's text.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// The supervisor did not take the request; trying again is of use.
    #[error("the container cannot be signalled: {0}")]
    Supervisor(#[from] sandbox::ClientError),
    /// The kernel did not end its processes.
    #[error("the processes of container {0} do not end although they were killed")]
    StillRuns(String),
}

/// A container could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// There is none.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Docker's text.
    #[error(
        "cannot remove container \"/{0}\": container is running: stop the container before removing or force remove"
    )]
    Running(String),
    /// It could not be stopped by force.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// The removal could not be written down.
    #[error("cannot forget the container: {0}")]
    Record(String),
}

/// Logs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no such container.
    #[error(transparent)]
    Find(#[from] FindError),
    /// A file cannot be read.
    #[error("cannot read the log {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
