// SPDX-License-Identifier: MIT
#pragma once

#include "modelconsumers.h"

#include <AmqpQt/messagemodel.h>

namespace AmqpQt
{

// The library's model, with the consumers that QML knows.
class QmlMessageModel : public AmqpQt::MessageModel, private ModelConsumers
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlConsumer *consumer READ consumer WRITE setConsumer RESET resetConsumer NOTIFY consumerChanged)
    Q_PROPERTY(QQmlListProperty<AmqpQt::QmlConsumer> consumers READ consumers NOTIFY consumersChanged)
    // The properties of the library's model; assigning undefined resets a property.
    Q_PROPERTY(
        int maximumCount READ maximumCount WRITE setMaximumCount RESET resetMaximumCount NOTIFY maximumCountChanged)
    Q_PROPERTY(int updateInterval READ updateInterval WRITE setUpdateInterval RESET resetUpdateInterval NOTIFY
                   updateIntervalChanged)
    Q_PROPERTY(bool paused READ isPaused WRITE setPaused RESET resetPaused NOTIFY pausedChanged)
    Q_PROPERTY(QStringList columns READ columns WRITE setColumns RESET resetColumns NOTIFY columnsChanged)
    Q_PROPERTY(QString filterRoutingKey READ filterRoutingKey WRITE setFilterRoutingKey RESET resetFilterRoutingKey
                   NOTIFY filterRoutingKeyChanged)
    QML_NAMED_ELEMENT(MessageModel)
public:
    explicit QmlMessageModel(QObject *parent = nullptr);

    QmlConsumer *consumer() { return firstConsumer(); }
    void setConsumer(QmlConsumer *consumer) { setSingleConsumer(consumer); }
    QQmlListProperty<QmlConsumer> consumers() { return consumerList(this); }

    void resetConsumer() { setConsumer(nullptr); }
    void resetMaximumCount() { setMaximumCount(1000); }
    void resetUpdateInterval() { setUpdateInterval(50); }
    void resetPaused() { setPaused(false); }
    void resetColumns() { setColumns(m_firstColumns); }
    void resetFilterRoutingKey() { setFilterRoutingKey({}); }

    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;

    Q_INVOKABLE AmqpQt::Message get(int row) const { return message(row); }

Q_SIGNALS:
    void consumerChanged();
    void consumersChanged();

protected:
    void warn(const QString &text) const override; // with the element's file and line

private:
    void connectConsumer(QmlConsumer *consumer, QObject *context) override;
    void notifyConsumers(bool isReset) override;

    const QStringList m_firstColumns = columns();
};

} // namespace AmqpQt
