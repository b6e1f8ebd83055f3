// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qlist.h>
#include <QtCore/qstring.h>

namespace AmqpQt
{

class ConsumerPrivate;
class Error;

// The consumers of a channel: all objects that exist, and among them those that have not ended, by tag.
class ChannelConsumers
{
public:
    const QList<ConsumerPrivate *> &all() const noexcept { return m_all; } // in order of creation
    QList<ConsumerPrivate *> active() const;                               // in order of creation
    ConsumerPrivate *find(const QString &tag) const;                       // among the active ones
    QString unusedTag() const; // made from the serial number that the next consumer gets

    quint64 add(ConsumerPrivate *consumer); // returns the serial number of the consumer
    void remove(const ConsumerPrivate *consumer);
    QList<ConsumerPrivate *> takeAll();
    void setActive(ConsumerPrivate *consumer); // its tag is in use from now on
    void setEnded(const ConsumerPrivate *consumer);

    // Finds the consumer whose basic.consume made the broker close the channel; null if it was another method.
    const ConsumerPrivate *rejectedBy(const Error &reason) const;

private:
    qsizetype position(const QString &tag) const; // the insertion point if not found

    // Lists, because maps and hashes take much memory and there may be thousands of channels with one consumer each.
    QList<ConsumerPrivate *> m_all;
    QList<ConsumerPrivate *> m_active; // sorted by tag, see position()
    quint64 m_lastSerial = 0;
};

} // namespace AmqpQt
