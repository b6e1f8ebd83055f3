// SPDX-License-Identifier: MIT
#include "chaos/topologymodel.h"

using namespace Qt::StringLiterals;

namespace
{

QString yesNo(bool value)
{
    return value ? u"true"_s : u"false"_s;
}

QString entity(const QStringList &columns)
{
    return columns.join(u' ');
}

QStringList list(const QString &command, const QStringList &columns)
{
    return QStringList{command, u"--silent"_s, u"--no-table-headers"_s} + columns;
}

} // namespace

QList<QStringList> TopologyModel::commands()
{
    return {
        list(u"list_queues"_s, {u"name"_s, u"durable"_s, u"auto_delete"_s, u"exclusive"_s}),
        list(u"list_exchanges"_s, {u"name"_s, u"type"_s, u"durable"_s, u"auto_delete"_s}),
        list(u"list_bindings"_s, {u"source_name"_s, u"destination_kind"_s, u"destination_name"_s, u"routing_key"_s}),
        list(u"list_consumers"_s, {u"queue_name"_s, u"consumer_tag"_s, u"ack_required"_s, u"prefetch_count"_s})};
}

QSet<QString> TopologyModel::parse(const QByteArrayList &outputs)
{
    static const QStringList kinds{u"queue"_s, u"exchange"_s, u"binding"_s, u"consumer"_s};
    QSet<QString> entities;
    for (qsizetype kind = 0; kind < outputs.size(); ++kind) {
        for (const QString &line : QString::fromUtf8(outputs.at(kind)).split(u'\n', Qt::SkipEmptyParts)) {
            const QStringList columns = line.split(u'\t');
            const bool isOfEveryBroker =
                (kind == 1 && (columns.first().isEmpty() || columns.first().startsWith("amq."_L1))) ||
                (kind == 2 && columns.first().isEmpty());
            if (!isOfEveryBroker)
                entities.insert(entity(QStringList{kinds.at(kind)} + columns));
        }
    }
    return entities;
}

QString TopologyModel::queue(const QString &name, bool durable, bool autoDelete, bool exclusive)
{
    return entity({u"queue"_s, name, yesNo(durable), yesNo(autoDelete), yesNo(exclusive)});
}

QString TopologyModel::exchange(const QString &name, const QString &type, bool durable, bool autoDelete)
{
    return entity({u"exchange"_s, name, type, yesNo(durable), yesNo(autoDelete)});
}

QString TopologyModel::binding(const QString &source, const QString &kind, const QString &destination,
                               const QString &key)
{
    return entity({u"binding"_s, source, kind, destination, key});
}

QString TopologyModel::consumer(const QString &queue, const QString &tag, int prefetch)
{
    return entity({u"consumer"_s, queue, tag, yesNo(true), QString::number(prefetch)});
}

QStringList TopologyModel::differences(const QSet<QString> &listed) const
{
    QStringList result;
    for (const QString &entity : m_entities) {
        if (!listed.contains(entity))
            result += "missing: "_L1 + entity;
    }
    for (const QString &entity : listed) {
        if (!m_entities.contains(entity))
            result += "surplus: "_L1 + entity;
    }
    result.sort();
    return result;
}
