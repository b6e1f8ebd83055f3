// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

#include <QtCore/qabstractitemmodel.h>

#include <memory>

namespace AmqpQt
{

class Consumer;
class LatestValueModelPrivate;

// Holds the latest message for each key, such as the current value of each sensor, for any Qt view. It changes at most
// once per updateInterval(), whatever the message rate.
class AMQPQT_EXPORT LatestValueModel : public QAbstractTableModel
{
    Q_OBJECT
    Q_PROPERTY(QString keyColumn READ keyColumn WRITE setKeyColumn RESET resetKeyColumn NOTIFY keyColumnChanged)
    Q_PROPERTY(QStringList columns READ columns WRITE setColumns RESET resetColumns NOTIFY columnsChanged)
    Q_PROPERTY(int updateInterval READ updateInterval WRITE setUpdateInterval RESET resetUpdateInterval NOTIFY
                   updateIntervalChanged) // ms
    Q_PROPERTY(
        int maximumCount READ maximumCount WRITE setMaximumCount RESET resetMaximumCount NOTIFY maximumCountChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)
    Q_DISABLE_COPY_MOVE(LatestValueModel)
public:
    explicit LatestValueModel(QObject *parent = nullptr);
    ~LatestValueModel() override;

    void setConsumer(Consumer *consumer); // replaces all consumers; nullptr removes them
    void addConsumer(Consumer *consumer);
    void removeConsumer(Consumer *consumer);
    [[nodiscard]] QList<Consumer *> consumers() const;
    void append(const QList<Message> &messages); // for messages of other sources
    Q_INVOKABLE void clear();
    [[nodiscard]] Q_INVOKABLE AmqpQt::Message message(int row) const;

    QString keyColumn() const;
    void setKeyColumn(const QString &column);
    QStringList columns() const;
    void setColumns(const QStringList &columns);
    int updateInterval() const;
    void setUpdateInterval(int milliseconds);
    int maximumCount() const;
    void setMaximumCount(int rows);
    int count() const;

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    QHash<int, QByteArray> roleNames() const override;

Q_SIGNALS:
    void keyColumnChanged();
    void columnsChanged();
    void updateIntervalChanged();
    void maximumCountChanged();
    void countChanged();

protected:
    bool event(QEvent *event) override;
    virtual void warn(const QString &text) const; // reports an invalid property value, and a full model

private:
    // Set the defaults: for QMetaProperty::reset(), and for QML, where undefined resets a property.
    void resetKeyColumn();
    void resetColumns();
    void resetUpdateInterval();
    void resetMaximumCount();

    friend class LatestValueModelPrivate;
    std::unique_ptr<LatestValueModelPrivate> d;
};

} // namespace AmqpQt
