# DevStack plugin: in local.conf, `enable_plugin dragonflow URL_OF_THIS_REPOSITORY`.
#
# Builds the controller with cargo, installs networking-dragonflow, and runs the controller for this host. Not yet run in a
# DevStack: shellcheck reads it, and a test runs the phases install and post-config with DevStack's functions replaced.

DRAGONFLOW_DIR=${DRAGONFLOW_DIR:-$DEST/dragonflow}
DRAGONFLOW_BIN=${DRAGONFLOW_BIN:-$DRAGONFLOW_DIR/target/release/dragonflow}
DRAGONFLOW_STORE=$DATA_DIR/dragonflow

function install_dragonflow {
    install_package openvswitch-switch
    if ! command -v cargo >/dev/null; then
        die $LINENO "cargo is missing: install it by rustup for the user $STACK_USER"
    fi
    (cd "$DRAGONFLOW_DIR" && cargo build --release -p controller)
    pip_install -c "$DRAGONFLOW_DIR/neutron/constraints.txt" "$DRAGONFLOW_DIR/neutron"
}

function configure_dragonflow {
    iniset "/$Q_PLUGIN_CONF_FILE" dragonflow controller_url "$DRAGONFLOW_API"
    iniset "/$Q_PLUGIN_CONF_FILE" ml2 extension_drivers port_security
}

# "public:br-ex,other:br-2" as the inner part of a JSON object.
function _dragonflow_mappings {
    echo "$DRAGONFLOW_BRIDGE_MAPPINGS" | sed 's/[^:,][^:,]*/"&"/g; s/:/: /g; s/,/, /g'
}

function start_dragonflow {
    mkdir -p "$DRAGONFLOW_STORE"
    run_process df-controller "$DRAGONFLOW_BIN controller --store $DRAGONFLOW_STORE/store.redb \
        --api $DRAGONFLOW_API --api unix:$DRAGONFLOW_STORE/api.sock --chassis $DRAGONFLOW_CHASSIS=$DRAGONFLOW_OVSDB" "" root
    if ! timeout 60 sh -c "until curl -sf $DRAGONFLOW_API/healthz; do sleep 1; done"; then
        die $LINENO "the dragonflow controller does not answer at $DRAGONFLOW_API"
    fi
    sudo "$DRAGONFLOW_BIN" --server "unix:$DRAGONFLOW_STORE/api.sock" apply -f - <<TOPOLOGY
{"chassis": [{
    "id": "$DRAGONFLOW_CHASSIS",
    "encap_ips": ["$DRAGONFLOW_ENCAP_IP"],
    "bridge_mappings": {$(_dragonflow_mappings)}
}]}
TOPOLOGY
}

function stop_dragonflow {
    stop_process df-controller
}

if [[ "$1" == "stack" && "$2" == "install" ]]; then
    install_dragonflow
elif [[ "$1" == "stack" && "$2" == "post-config" ]]; then
    configure_dragonflow
    start_dragonflow
elif [[ "$1" == "unstack" ]]; then
    stop_dragonflow
elif [[ "$1" == "clean" ]]; then
    rm -rf "$DRAGONFLOW_STORE"
fi
