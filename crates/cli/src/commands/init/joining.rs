//! `coax init --join TOKEN`: makes this machine another controller of a deployment, over the same etcd.

use coax_controller::{Common, Deployment, EtcdAddresses, OwnWay};
use coax_identity::{Authority, ControllerToken};

use super::answers;
use super::{InitArgs, write_controller_config};
use crate::commands::join::read_token;
use crate::commands::start::{self, Places};
use crate::detect::Machine;
use crate::error::CliError;
use crate::output::Output;

/// Does it.
pub async fn run(
    args: &InitArgs,
    token: &str,
    places: &Places,
    output: &Output,
) -> Result<(), CliError> {
    let token: ControllerToken = read_token(token)?;
    let state = places.controller_state();
    let again = Authority::is_in(&state);
    if again && has_authority(&token, places)? {
        output.say(&format!(
            "this machine is a controller of that deployment already, nothing is changed and the token is not used\n\
             configuration: {}",
            places.controller_config().display(),
        ));
        return Ok(());
    }
    let machine = Machine::detect().await?;
    let ask = answers::may_ask(args);
    let address = answers::address(args.address.clone(), machine.address(), ask)?;
    places.create()?;
    let own = OwnWay {
        etcd: args.store.clone(),
        flags: args.etcd.clone(),
    };
    let joined = coax_controller::join(&token, &address, &own, &state).await?;
    if again {
        output.say(&format!(
            "this machine has the deployment's new authority in {}; its configuration is as it was",
            state.display(),
        ));
        output.say(
            "a controller that runs takes it up by itself; one that has stopped is to be started",
        );
        return Ok(());
    }
    // Of what the other controller says only this counts: it names no files and no sockets of this machine.
    let settings = joined.settings.into_iter();
    let settings = settings.filter(|(name, _)| Common::SETTINGS.contains(&name.as_str()));
    write_controller_config(places, &address, Some(&joined.etcd), settings.collect())?;
    output.say(&format!(
        "this machine is a controller of the deployment now, over {}: the deployment's key is in {}, its configuration is {}",
        EtcdAddresses::from(&joined.etcd),
        state.display(),
        places.controller_config().display(),
    ));
    output.say(&format!(
        "next: {}; hosts learn of it by themselves",
        start::how_to_start(places, "coax-controller", &places.run_all())
    ));
    Ok(())
}

/// Whether this machine has the authority that the token is of.
fn has_authority(token: &ControllerToken, places: &Places) -> Result<bool, CliError> {
    let folder = places.controller_state();
    let present = Deployment::open(&folder).map_err(coax_controller::Error::from)?;
    Ok(present.pins().contains(&token.pin))
}
