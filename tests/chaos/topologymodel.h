// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qset.h>
#include <QtCore/qstringlist.h>

// The entities that a broker should have, and the comparison with those that rabbitmqctl lists. An entity is a line of
// text, with the columns of rabbitmqctl.
class TopologyModel
{
public:
    // The arguments of rabbitmqctl for each kind of entity, in the order of parse().
    static QList<QStringList> commands();
    // The entities in the outputs of these commands, without those that every broker has.
    static QSet<QString> parse(const QByteArrayList &outputs);

    static QString queue(const QString &name, bool durable, bool autoDelete, bool exclusive);
    static QString exchange(const QString &name, const QString &type, bool durable, bool autoDelete);
    static QString binding(const QString &source, const QString &kind, const QString &destination, const QString &key);
    static QString consumer(const QString &queue, const QString &tag, int prefetch); // with acknowledgements

    void insert(const QString &entity) { m_entities.insert(entity); }
    void remove(const QString &entity) { m_entities.remove(entity); }

    // One line for each difference, "missing: …" or "surplus: …".
    QStringList differences(const QSet<QString> &listed) const;

private:
    QSet<QString> m_entities;
};
