// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

#include <QtCore/qabstractitemmodel.h>

#include <memory>

namespace AmqpQt
{

class Consumer;
class MessageModelPrivate;

// Holds the latest messages of a consumer for any Qt view, Widgets or QML: up to maximumCount() rows, newest first. It
// changes at most once per updateInterval(), whatever the message rate.
class AMQPQT_EXPORT MessageModel : public QAbstractTableModel
{
    Q_OBJECT
    Q_PROPERTY(
        int maximumCount READ maximumCount WRITE setMaximumCount RESET resetMaximumCount NOTIFY maximumCountChanged)
    Q_PROPERTY(int updateInterval READ updateInterval WRITE setUpdateInterval RESET resetUpdateInterval NOTIFY
                   updateIntervalChanged) // ms
    Q_PROPERTY(bool paused READ isPaused WRITE setPaused RESET resetPaused NOTIFY pausedChanged)
    // "routingKey" "json.value" "headers.x" "text" …
    Q_PROPERTY(QStringList columns READ columns WRITE setColumns RESET resetColumns NOTIFY columnsChanged)
    Q_PROPERTY(QString filterRoutingKey READ filterRoutingKey WRITE setFilterRoutingKey RESET resetFilterRoutingKey
                   NOTIFY filterRoutingKeyChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)
    Q_PROPERTY(double totalCount READ totalCount NOTIFY countChanged)
    Q_PROPERTY(double droppedCount READ droppedCount NOTIFY countChanged) // dropped before a view saw them
    Q_DISABLE_COPY_MOVE(MessageModel)
public:
    enum Role {
        MessageRole = Qt::UserRole,
        RoutingKeyRole,
        ExchangeRole,
        TextRole,
        JsonRole,
        HeadersRole,
        ContentTypeRole,
        TimestampRole,
        SizeRole,
        RedeliveredRole,
    };
    Q_ENUM(Role)

    explicit MessageModel(QObject *parent = nullptr);
    ~MessageModel() override;

    void setConsumer(Consumer *consumer); // replaces all consumers; nullptr removes them
    void addConsumer(Consumer *consumer);
    void removeConsumer(Consumer *consumer);
    [[nodiscard]] QList<Consumer *> consumers() const;
    void append(const QList<Message> &messages); // for messages of other sources
    Q_INVOKABLE void clear();
    [[nodiscard]] Q_INVOKABLE AmqpQt::Message message(int row) const;

    int maximumCount() const;
    void setMaximumCount(int rows);
    int updateInterval() const;
    void setUpdateInterval(int milliseconds);
    bool isPaused() const;
    void setPaused(bool paused);
    QStringList columns() const;
    void setColumns(const QStringList &columns);
    QString filterRoutingKey() const;
    void setFilterRoutingKey(const QString &pattern);
    int count() const;
    double totalCount() const;
    double droppedCount() const;

    // For custom models; value() returns the value of a column for a message.
    [[nodiscard]] static bool isColumn(const QString &name);
    [[nodiscard]] static QString columnTitle(const QString &name);
    [[nodiscard]] static QVariant value(const Message &message, const QString &column, int role = Qt::EditRole);

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    QHash<int, QByteArray> roleNames() const override;

Q_SIGNALS:
    void maximumCountChanged();
    void updateIntervalChanged();
    void pausedChanged();
    void columnsChanged();
    void filterRoutingKeyChanged();
    void countChanged();

protected:
    bool event(QEvent *event) override;
    virtual void warn(const QString &text) const; // reports an invalid property value

private:
    // Set the defaults: for QMetaProperty::reset(), and for QML, where undefined resets a property.
    void resetMaximumCount();
    void resetUpdateInterval();
    void resetPaused();
    void resetColumns();
    void resetFilterRoutingKey();

    friend class MessageModelPrivate;
    std::unique_ptr<MessageModelPrivate> d;
};

} // namespace AmqpQt
