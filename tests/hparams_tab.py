"""What TensorBoard's own hparams backend makes of a folder, without a server."""

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups


def read_hparams_tab(logdir):
    """Columns, and for each session by name its cells and metrics, as the table shows them with every column on."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = RequestContext()
    metadata = context.hparams_metadata(request, "")
    experiment = get_experiment.Handler(
        request, context, "", api_pb2.GetExperimentRequest(experiment_name="", include_metrics=True)
    ).run()
    columns = [api_pb2.ColParams(hparam=info.name) for info in experiment.hparam_infos]
    columns += [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    statuses = [status for status in api_pb2.Status.values() if status]
    groups = list_session_groups.Handler(
        request,
        context,
        "",
        api_pb2.ListSessionGroupsRequest(
            allowed_statuses=[0, *statuses],
            col_params=columns,
            start_index=0,
            slice_size=1000,
            include_metrics=True,
        ),
    ).run()
    assert metadata
    names = [info.name for info in experiment.hparam_infos]
    metrics = [info.name.tag for info in experiment.metric_infos]
    rows = {}
    for group in groups.session_groups:
        (session,) = group.sessions
        cells = {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}
        values = {metric.name.tag: metric.value for metric in group.metric_values}
        rows[group.name] = cells, values, api_pb2.Status.Name(session.status)
    return names, metrics, rows
