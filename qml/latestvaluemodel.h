// SPDX-License-Identifier: MIT
#pragma once

#include "qmlconsumer.h"

#include <QtCore/qabstractitemmodel.h>
#include <QtCore/qhash.h>

namespace AmqpQt
{

class LatestValueModel : public QAbstractTableModel
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlConsumer *consumer READ consumer WRITE setConsumer RESET resetConsumer NOTIFY consumerChanged)
    Q_PROPERTY(QString keyColumn READ keyColumn WRITE setKeyColumn RESET resetKeyColumn NOTIFY keyColumnChanged)
    Q_PROPERTY(QStringList columns READ columns WRITE setColumns RESET resetColumns NOTIFY columnsChanged)
    Q_PROPERTY(int updateInterval READ updateInterval WRITE setUpdateInterval RESET resetUpdateInterval NOTIFY
                   updateIntervalChanged)
    Q_PROPERTY(
        int maximumCount READ maximumCount WRITE setMaximumCount RESET resetMaximumCount NOTIFY maximumCountChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)
    QML_ELEMENT
public:
    explicit LatestValueModel(QObject *parent = nullptr);

    QmlConsumer *consumer() const { return m_consumer; }
    void setConsumer(QmlConsumer *consumer);
    QString keyColumn() const { return m_keyColumn; }
    void setKeyColumn(const QString &column);
    QStringList columns() const { return m_columns; }
    void setColumns(const QStringList &columns);
    int updateInterval() const { return m_updateInterval; }
    void setUpdateInterval(int milliseconds);
    int maximumCount() const { return m_maximumCount; }
    void setMaximumCount(int rows);
    int count() const { return int(m_rows.size()); }

    void resetConsumer() { setConsumer(nullptr); }
    void resetKeyColumn() { setKeyColumn(QStringLiteral("routingKey")); }
    void resetColumns() { setColumns({QStringLiteral("routingKey"), QStringLiteral("text")}); }
    void resetUpdateInterval() { setUpdateInterval(50); }
    void resetMaximumCount() { setMaximumCount(10'000); }

    Q_INVOKABLE AmqpQt::Message get(int row) const { return m_rows.value(row); }
    Q_INVOKABLE void clear();

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    QHash<int, QByteArray> roleNames() const override;

Q_SIGNALS:
    void consumerChanged();
    void keyColumnChanged();
    void columnsChanged();
    void updateIntervalChanged();
    void maximumCountChanged();
    void countChanged();

protected:
    void timerEvent(QTimerEvent *event) override;

private:
    void append(const QList<Message> &messages);
    void warnOfColumn(const char *property, const QString &column) const;

    QPointer<QmlConsumer> m_consumer;
    QString m_keyColumn;
    QStringList m_columns;
    int m_updateInterval = 50;
    int m_maximumCount = 10'000;

    QList<Message> m_rows;
    QHash<QString, int> m_rowOfKey;
    QHash<QString, Message> m_changes; // since the last update
    int m_newCount = 0;                // of their keys
    QBasicTimer m_timer;
    bool m_warnedOfFull = false;
};

} // namespace AmqpQt
