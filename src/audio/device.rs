//! Which sound devices there are.
//!
//! PulseAudio, or PipeWire in its place, where its server answers; otherwise ALSA. Asking may take as long as a
//! sound server takes to answer: not for an async worker.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{Device, Host};

use super::AudioError;

/// A sound device, as a person may choose it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceInfo {
    /// What it is called.
    pub name: String,
    /// A short name without spaces, where the system has one; either names the device.
    pub id: String,
    /// Whether it is used when none is named.
    pub default: bool,
}

/// The microphones, the default one first.
///
/// # Errors
/// [`AudioError::NoInput`] when there is none.
pub fn inputs() -> Result<Vec<DeviceInfo>, AudioError> {
    let _quiet = Quiet::here();
    let none = |cause: String| AudioError::NoInput { cause };
    let host = host().map_err(none)?;
    let devices = host.input_devices().map_err(|error| none(error.to_string()))?.collect();
    list(&host, devices, host.default_input_device(), DeviceTrait::default_input_config).map_err(none)
}

/// The loudspeakers, the default one first.
///
/// # Errors
/// [`AudioError::NoOutput`] when there is none.
pub fn outputs() -> Result<Vec<DeviceInfo>, AudioError> {
    let _quiet = Quiet::here();
    let none = |cause: String| AudioError::NoOutput { cause };
    let host = host().map_err(none)?;
    let devices = host.output_devices().map_err(|error| none(error.to_string()))?.collect();
    list(&host, devices, host.default_output_device(), DeviceTrait::default_output_config).map_err(none)
}

fn list<T>(
    host: &Host,
    devices: Vec<Device>,
    default: Option<Device>,
    usable: impl Fn(&Device) -> Result<T, cpal::Error>,
) -> Result<Vec<DeviceInfo>, String> {
    let default = default.filter(|device| usable(device).is_ok());
    let default_id = default.as_ref().map(id);
    let mut found: Vec<DeviceInfo> = default
        .iter()
        .map(|device| DeviceInfo { name: name(device), id: id(device), default: true })
        .collect();
    for device in devices {
        if default_id.as_ref() != Some(&id(&device)) && usable(&device).is_ok() {
            found.push(DeviceInfo { name: name(&device), id: id(&device), default: false });
        }
    }
    if found.is_empty() { Err(format!("{} knows of none", host.id().name())) } else { Ok(found) }
}

/// The sound system. `cpal` chooses PulseAudio's own protocol when its server answers, else ALSA.
pub(super) fn host() -> Result<Host, String> {
    Ok(cpal::default_host())
}

/// The microphone of this name or id, or the default one.
pub(super) fn input(wanted: Option<&str>) -> Result<Device, AudioError> {
    let none = |cause: String| AudioError::NoInput { cause };
    let host = host().map_err(none)?;
    let Some(wanted) = wanted else {
        return host.default_input_device().ok_or_else(|| none("the system knows of none".to_owned()));
    };
    let devices: Vec<Device> = host.input_devices().map_err(|error| none(error.to_string()))?.collect();
    let known = devices.iter().map(id).collect::<Vec<_>>().join(", ");
    let found = devices.into_iter().find(|device| id(device) == wanted || name(device) == wanted);
    found.ok_or_else(|| AudioError::UnknownInput { name: wanted.to_owned(), known })
}

/// The default loudspeaker.
pub(super) fn output() -> Result<Device, AudioError> {
    let none = |cause: String| AudioError::NoOutput { cause };
    let device = host().map_err(none)?.default_output_device();
    device.ok_or_else(|| none("the system knows of none".to_owned()))
}

/// What a device is called.
pub(super) fn name(device: &Device) -> String {
    device.description().map_or_else(|_| id(device), |description| description.name().to_owned())
}

fn id(device: &Device) -> String {
    device.id().map_or_else(|_| String::new(), |id| id.id().to_owned())
}

/// As long as it lives, ALSA's library does not write its complaints to stderr from this thread.
pub(super) struct Quiet {
    #[cfg(target_os = "linux")]
    _output: Option<std::rc::Rc<std::cell::RefCell<alsa::Output>>>,
}

impl Quiet {
    /// On this thread.
    pub fn here() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            _output: alsa::Output::local_error_handler().ok(),
        }
    }
}
