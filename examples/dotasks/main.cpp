// SPDX-License-Identifier: MIT

// Work queues, the working half: does the tasks of a queue until Ctrl-C. If several workers run, each gets a new task
// when it has finished its previous one.
//
//   dotasks [--url URL] [--queue NAME]

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QTextStream>
#include <QTimer>

using namespace Qt::StringLiterals;

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Does the tasks of a queue, one at a time."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"queue"_s, u"The queue, declared durable."_s, u"name"_s, u"task_queue"_s});
    options.process(application);
    const QString queue = options.value(u"queue"_s);
    QTextStream out(stdout);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::Channel *channel = connection.createChannel();
    channel->setPrefetch(1); // limits the worker to one unacked task, so that other tasks go to idle workers
    channel->declareQueue(queue);
    AmqpQt::Consumer *consumer = channel->consume(queue);

    QObject::connect(consumer, &AmqpQt::Consumer::started, &application,
                     [&] { out << "Waiting for tasks" << Qt::endl; });
    QObject::connect(consumer, &AmqpQt::Consumer::delivered, &application, [&](const AmqpQt::Message &task) {
        out << "Begin " << task.text() << Qt::endl;
        // The event loop keeps running. If the worker ends now, it has not acked, and the task goes to another worker.
        QTimer::singleShot(std::chrono::seconds(task.text().count(u'.')), consumer, [&out, task] {
            out << "Done " << task.text() << Qt::endl;
            task.ack();
        });
    });
    AmqpQt::Error failure; // why the channel was closed, or the connection could not be opened
    QObject::connect(channel, &AmqpQt::Channel::closed, &connection, [&](const AmqpQt::Error &reason) {
        if (reason.isError())
            failure = reason;
        connection.close();
    });

    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &connection, &AmqpQt::Connection::close);
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            QTextStream(stderr) << why.toString() << Qt::endl;
        QCoreApplication::exit(why.isError() ? 1 : 0);
    });
    // A broker that cannot be reached at the start ends the program. After a later loss the connection recovers.
    connection.open().then(&connection, [&](const AmqpQt::Result<void> &opened) {
        if (opened || connection.state() != AmqpQt::Connection::State::Recovering)
            return;
        failure = opened.error();
        connection.close();
    });
    return application.exec();
}
