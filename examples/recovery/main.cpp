// SPDX-License-Identifier: MIT

// Publishes and consumes through losses of the connection. It prints each attempt to connect again with its delay, the
// report of each recovery, and at the end whether all confirmed messages have arrived.
//
//   recovery [--url URL] [--queue NAME] [--exchange NAME] [--count N] [--interval MS]
//
// To see it recover, restart the broker, or close its connections: rabbitmqctl close_all_connections test

#include "ledger.h"

#include "../shared/quitsignals.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>
#include <AmqpQt/Publisher>
#include <AmqpQt/Recovery>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QHash>
#include <QTextStream>
#include <QTimer>
#include <QUuid>

using namespace Qt::StringLiterals;

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Publishes and consumes through losses of the connection."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"queue"_s, u"The queue, declared durable."_s, u"name"_s, u"recovery"_s});
    options.addOption({u"exchange"_s, u"The fanout exchange, declared durable."_s, u"name"_s, u"recovery"_s});
    options.addOption({u"count"_s, u"The number of messages."_s, u"N"_s, u"1000"_s});
    options.addOption({u"interval"_s, u"The time between two messages."_s, u"MS"_s, u"20"_s});
    options.process(application);
    const QString queue = options.value(u"queue"_s);
    const QString exchange = options.value(u"exchange"_s);
    int wanted = qMax(1, options.value(u"count"_s).toInt());
    QTextStream out(stdout);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));

    // What the connection does by itself.
    QObject::connect(&connection, &AmqpQt::Connection::opened, &application, [&] { out << "open" << Qt::endl; });
    QObject::connect(&connection, &AmqpQt::Connection::reconnecting, &application,
                     [&](int attempt, std::chrono::milliseconds delay) {
                         out << u"attempt %1 follows in %2 s: %3"_s.arg(attempt)
                                    .arg(double(delay.count()) / 1000, 0, 'f', 1)
                                    .arg(connection.error().toString())
                             << Qt::endl;
                     });
    QObject::connect(&connection, &AmqpQt::Connection::queueRenamed, &application,
                     [&](const QString &oldName, const QString &newName) {
                         out << "the queue " << oldName << " is now " << newName << Qt::endl;
                     });
    QObject::connect(&connection, &AmqpQt::Connection::recovered, &application,
                     [&](const AmqpQt::RecoveryReport &report) {
                         out << u"recovered: exchanges %1, queues %2, bindings %3, consumers %4"_s.arg(report.exchanges)
                                    .arg(report.queues)
                                    .arg(report.bindings)
                                    .arg(report.consumers)
                             << Qt::endl;
                         for (const QString &failure : report.failures())
                             out << "not recovered: " << failure << Qt::endl;
                     });

    // The durable queue keeps its messages while the connection is lost. The temporary one is deleted with it, and the
    // connection declares another one, which the broker gives another name.
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareExchange(exchange, AmqpQt::ExchangeType::Fanout);
    channel->declareQueue(queue);
    channel->bindQueue(queue, exchange);
    AmqpQt::Consumer *consumer = channel->consume(queue);
    channel->declareTemporaryQueue();
    channel->bindQueue({}, exchange); // an empty name means the last declared queue
    AmqpQt::Consumer *watcher = channel->consume({}, {.ackMode = AmqpQt::AckMode::NoAck});

    // Messages that were not confirmed when the connection was lost are sent again, so they may arrive twice.
    AmqpQt::Publisher publisher(&connection);
    publisher.setExchange(exchange);
    publisher.setLossPolicy(AmqpQt::Publisher::LossPolicy::Republish);

    Ledger ledger;
    int watched = 0;
    const auto closeWhenComplete = [&] {
        if (ledger.publishedCount() >= wanted && ledger.isComplete())
            connection.close();
    };
    QObject::connect(consumer, &AmqpQt::Consumer::delivered, &application, [&](const AmqpQt::Message &message) {
        ledger.received(message.messageId()); // recognizes messages that arrive again
        message.ack();                        // has no effect if the connection was lost in the meantime
        closeWhenComplete();
    });
    QObject::connect(watcher, &AmqpQt::Consumer::delivered, &application, [&](const AmqpQt::Message &) { ++watched; });

    QHash<quint64, QString> outstanding; // message ids, by the numbers that publish() returns
    QObject::connect(&publisher, &AmqpQt::Publisher::settled, &application,
                     [&](quint64 number, const AmqpQt::Error &error) {
                         const QString id = outstanding.take(number);
                         if (error.isError())
                             QTextStream(stderr) << "message " << id << ": " << error.toString() << Qt::endl;
                         ledger.settled(id, !error.isError());
                         closeWhenComplete();
                     });

    const QString run = QUuid::createUuid().toString(QUuid::WithoutBraces);
    QTimer timer;
    timer.setInterval(qMax(0, options.value(u"interval"_s).toInt()));
    QObject::connect(&timer, &QTimer::timeout, &application, [&] {
        const int number = ledger.publishedCount() + 1;
        if (number > wanted)
            return timer.stop();
        AmqpQt::Message message = AmqpQt::Message::fromText(QString::number(number));
        message.setMessageId(run + u'/' + QString::number(number));
        const quint64 publish = publisher.publish(message);
        if (publish == 0)
            return; // the outbox is full; try again later
        outstanding.insert(publish, message.messageId());
        ledger.published(message.messageId());
    });
    watcher->whenStarted().then(&timer, [&](const AmqpQt::Result<void> &started) {
        if (started)
            timer.start();
    });

    // After Ctrl-C the program publishes nothing more and waits for the messages that are on their way. Another one
    // ends it at once.
    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &application, [&] {
        if (wanted == ledger.publishedCount())
            return void(connection.close());
        wanted = ledger.publishedCount();
        closeWhenComplete();
    });
    AmqpQt::Error failure; // why the broker closed the channel
    QObject::connect(channel, &AmqpQt::Channel::closed, &application, [&](const AmqpQt::Error &reason) {
        failure = reason;
        connection.close();
    });
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            QTextStream(stderr) << why.toString() << Qt::endl;
        out << ledger.summary() << "\nthe temporary queue has received " << watched << Qt::endl;
        QCoreApplication::exit(why.isError() || ledger.hasFailures() ? 1 : 0);
    });
    connection.open();
    return application.exec();
}
